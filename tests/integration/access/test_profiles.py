"""What the model is told about a user."""

from __future__ import annotations

from tests.integration.access.conftest import Client, error, new_client
from tests.stack import Stack


def test_facts_are_put_changed_and_forgotten(client: Client) -> None:
    path = "/v1/users/ada@example.com/profile"
    assert client.get(path).json()["facts"] == {}
    client.send("PUT", path, {"facts": {"name": "Ada", "plan": "free"}})
    client.send("PATCH", path, {"facts": {"plan": None, "language": "en"}})
    assert client.get(path).json()["facts"] == {"language": "en", "name": "Ada"}
    assert client.delete(path).json()["deleted"] is True
    assert client.get(path).json()["facts"] == {}


def test_a_user_may_have_a_slash_in_the_name(house: Stack, admin: Client) -> None:
    with new_client(house, admin, scopes=["inference"], user="staff/ada") as ada:
        path = "/v1/users/staff%2Fada/profile"
        assert ada.send("PUT", path, {"facts": {"name": "Ada"}}).json()["user"] == "staff/ada"
        assert ada.send("PATCH", path, {"learn": True}).json()["facts"] == {"name": "Ada"}
        for name in ("name", "profile"):
            assert error(ada.delete(f"{path}/learned/{name}"), 404)["code"] == "fact_not_found"
        assert ada.delete(f"{path}/learned").json()["learned"] == {}
        assert ada.delete(path).json()["deleted"] is True
        assert error(ada.get("/v1/users/staff/profile"), 404)["code"] == "user_not_found"


def test_a_fact_with_a_bad_name_is_named(client: Client) -> None:
    answer = client.send("PUT", "/v1/users/ada/profile", {"facts": {"Full Name": "Ada"}})
    assert error(answer, 400)["param"] == "facts.Full Name"


def test_a_fact_that_is_no_text_is_refused(client: Client) -> None:
    assert error(client.send("PUT", "/v1/users/ada/profile", {"facts": {"age": 36}}), 400)["param"] == "facts.age"


def test_the_same_user_of_another_tenant_is_another_user(client: Client, stranger: Client) -> None:
    client.send("PUT", "/v1/users/ada/profile", {"facts": {"name": "Ada"}})
    assert stranger.get("/v1/users/ada/profile").json()["facts"] == {}


def test_a_key_bound_to_a_user_knows_no_other(house: Stack, admin: Client, client: Client) -> None:
    with new_client(house, admin, tenant=client.tenant, scopes=["inference"], user="bob") as bob:
        assert error(bob.get("/v1/users/ada/profile"), 404)["param"] == "user"
        assert bob.get("/v1/users/bob/profile").status_code == 200
