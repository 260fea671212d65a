"""The program that makes the bundled model: texts, prompts as access composes them, training, evaluation, export."""
