"""What fills the slots of the written topics: invented names, numbers, prices, addresses, buttons.

A ``World`` is one invented shop: its brand, product, part and app stay the same in all of its entries.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from training import topics


def pick(rng: Random, kind: str) -> str:
    """One value of a list of ``texts/slots.txt``."""
    return rng.choice(_lists()[kind])


def name(rng: Random) -> str:
    """An invented name of two or three syllables, capitalised."""
    return "".join(pick(rng, "syllables") for _ in range(rng.choice((2, 2, 3)))).capitalize()


@dataclass(frozen=True)
class World:
    """An invented shop."""

    brand: str
    product: str
    product_zh: str
    fixed: dict[str, str]

    @classmethod
    def draw(cls, rng: Random) -> World:
        brand = name(rng)
        product, product_zh = pick(rng, "products"), pick(rng, "zh_products")
        fixed = {
            "product": rng.choice((product, product, f"{brand} {product}", name(rng))),
            "brand": brand,
            "app": rng.choice((brand, f"{brand} Home", name(rng))),
            "club": f"{brand} {rng.choice(('Club', 'Plus', 'Circle', 'Gold'))}",
            "产品": product_zh,
        }
        return cls(brand, product, product_zh, fixed)

    def slots(self, rng: Random) -> dict[str, str]:
        """Empty slots of one entry: its questions and answers are filled from the same mapping."""
        product = self.fixed["product"]
        item = rng.choice((f"my {product}", f"the {product}", "an article", "something", "it", f"a {product}"))
        return {**self.fixed, "item": item}


def fill(template: str, slots: dict[str, str], rng: Random) -> str:
    """``template`` with ``[a|b]`` picked and ``{slot}`` filled; what is drawn is kept in ``slots``."""
    chosen = re.sub(r"\[([^\[\]]*\|[^\[\]]*)\]", lambda m: rng.choice(m[1].split("|")), template)
    filled = re.sub(r"\{([^{}]+)\}", lambda m: _slot(m[1], slots, rng), chosen)
    return filled[:1].upper() + filled[1:] if template[:1] in "{[" or template[:1].isupper() else filled


def _slot(key: str, slots: dict[str, str], rng: Random) -> str:
    if key == "Colour":
        return _slot("colour", slots, rng).capitalize()
    if key not in slots:
        base = key.rstrip("2")
        draw = _DRAWS[key if key in _DRAWS else base]
        slots[key] = draw(rng)
    return slots[key]


def _price(low: int, high: int) -> Callable[[Random], str]:
    def draw(rng: Random) -> str:
        amount = rng.randint(low, high)
        cents = rng.choice(("", "", ".90", ".95", ".99", ".50"))
        shape = rng.choice(("{} euros", "€{}", "${}", "{} €", "£{}", "CHF {}", "{} EUR", "${}"))
        return shape.format(f"{amount}{cents}")

    return draw


def _email(rng: Random) -> str:
    box = rng.choice(("help", "support", "service", "care", "returns", "hello", "team", "orders", name(rng).lower()))
    return f"{box}@{_domain(rng)}"


def _domain(rng: Random) -> str:
    ending = rng.choice(("example", "com", "org", "net", "eu", "shop"))
    return f"{name(rng).lower()}{rng.choice(('', '', '-shop', '-care'))}.{ending}"


def _url(rng: Random) -> str:
    path = rng.choice(("", "/help", "/returns", "/track", "/manuals", "/start", f"/{name(rng).lower()}", "/go/parts"))
    return rng.choice(("", "", "https://", "www.")) + _domain(rng) + path


def _phone(rng: Random) -> str:
    groups = [str(rng.randint(10, 9999)) for _ in range(rng.choice((2, 3, 3)))]
    return rng.choice(("", "0", "+", "1-")) + rng.choice((" ", "-")).join(groups)


def _code(rng: Random) -> str:
    letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 5)))
    return f"{letters}{rng.choice(('', '-'))}{rng.randint(1, 999)}"


def _number(low: int, high: int) -> Callable[[Random], str]:
    return lambda rng: str(rng.randint(low, high))


def _one_of(kind: str) -> Callable[[Random], str]:
    return lambda rng: pick(rng, kind)


@cache
def _lists() -> dict[str, list[str]]:
    rows = (line.split(" = ", 1) for line in topics.lines("slots"))
    return {name: values.split("|") for name, values in rows}


def _quoted(kind: str) -> Callable[[Random], str]:
    return lambda rng: rng.choice(('"{}"', '"{}"', "{}", "“{}”", "*{}*")).format(pick(rng, kind))


_DRAWS: dict[str, Callable[[Random], str]] = {
    "brand": name,
    "product": _one_of("products"),
    "part": _one_of("parts"),
    "menu": _quoted("menus"),
    "button": _quoted("buttons"),
    "city": _one_of("cities"),
    "country": _one_of("countries"),
    "colour": _one_of("colours"),
    "material": _one_of("materials"),
    "month": _one_of("months"),
    "weekday": _one_of("weekdays"),
    "carrier": _one_of("carriers"),
    "card": _one_of("cards"),
    "wallet": _one_of("wallets"),
    "language": _one_of("languages"),
    "standard": _one_of("standards"),
    "word": _one_of("words"),
    "person": lambda rng: f"{pick(rng, 'first')} {name(rng)}",
    "street": lambda rng: f"{name(rng)} {rng.choice(('Street', 'Road', 'Lane', 'Square', 'Avenue'))}",
    "model": lambda rng: f"{name(rng)} {rng.choice(('', 'S', 'X', 'Pro', 'Mini', 'Air', ''))}{rng.randint(1, 900)}",
    "version": lambda rng: f"{rng.randint(1, 12)}.{rng.randint(0, 30)}",
    "weight": lambda rng: rng.choice((f"{rng.randint(50, 990)} g", f"{rng.randint(1, 40)}.{rng.randint(1, 9)} kg")),
    "letters": lambda rng: "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 3))),
    "time": lambda rng: rng.choice(("{} a.m.", "{} p.m.", "{}:00", "{}:30", "{} o'clock")).format(rng.randint(1, 12)),
    "percent": lambda rng: rng.choice(("{}%", "{} %", "{} percent")).format(rng.randint(2, 99)),
    "cents": lambda rng: f"{rng.randint(5, 95)} cents",
    "price": _price(1, 99),
    "bigprice": _price(30, 1500),
    "email": _email,
    "url": _url,
    "phone": _phone,
    "code": _code,
    "smallcode": _number(1000, 99999),
    "n": _number(2, 30),
    "m": _number(2, 12),
    "day": _number(2, 28),
    "days": lambda rng: str(rng.choice((7, 10, 14, 20, 21, 28, 30, 45, 60, 90, 100, 120))),
    "digits": _number(6, 20),
    "hours": _number(1, 72),
    "minutes": _number(2, 90),
    "seconds": _number(2, 20),
    "year": _number(1950, 2024),
    "bignumber": _number(40, 5000),
    "产品": _one_of("zh_products"),
    "零件": _one_of("zh_parts"),
    "菜单": lambda rng: rng.choice(("“{}”", "{}", "「{}」")).format(pick(rng, "zh_menus")),
    "按钮": _one_of("zh_buttons"),
    "城市": _one_of("zh_cities"),
    "颜色": _one_of("zh_colours"),
    "街道": _one_of("zh_streets"),
    "数": _number(2, 30),
    "钱": _number(20, 990),
    "时": _number(8, 20),
    "电话": _phone,
    "邮箱": _email,
}
