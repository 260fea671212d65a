"""The model as transformers and vLLM load it: safetensors, configuration, tokenizer, chat template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from training import tokens
from training.model import Llama, Shape

MODEL = Path(__file__).parents[1] / "models" / "penstock-faq"


def write(model: Llama, tokenizer: Path, folder: Path) -> None:
    """Write every file beside ``folder`` first, then move each into place, so that a reader never meets half a file."""
    fresh = folder.with_name(folder.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(tokenizer, fresh / "tokenizer.json")
    for name, content in _settings(model.shape).items():
        (fresh / name).write_text(json.dumps(content, indent=2) + "\n")
    (fresh / "chat_template.jinja").write_text(tokens.TEMPLATE)
    folder.mkdir(parents=True, exist_ok=True)
    for path in fresh.iterdir():
        path.chmod(0o644)
        path.replace(folder / path.name)
    fresh.rmdir()


def read(folder: Path, model: Llama) -> None:
    """Set the weights of ``model`` to those of an exported one."""
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()})


def _settings(shape: Shape) -> dict[str, dict[str, object]]:
    ends = {"eos_token_id": tokens.SPECIAL.index(tokens.END), "pad_token_id": tokens.SPECIAL.index(tokens.PAD)}
    return {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.hidden,
            "intermediate_size": shape.mlp,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "head_dim": shape.hidden // shape.heads,
            "hidden_act": "silu",
            "max_position_embeddings": shape.positions,
            "rms_norm_eps": shape.epsilon,
            "rope_theta": shape.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": None,
            "dtype": "float32",
            **ends,
        },
        "generation_config.json": {"temperature": 0.0, **ends},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.positions,
            "eos_token": tokens.END,
            "pad_token": tokens.PAD,
            "clean_up_tokenization_spaces": False,
            "add_bos_token": False,
        },
    }
