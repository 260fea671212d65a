"""The bundled embedding model's training: all-MiniLM-L6-v2 learns Chinese words and what tells FAQ entries apart."""
