"""The stateless HTTP face: keys, OpenAI routes, prompt, submission, following, SSE."""
