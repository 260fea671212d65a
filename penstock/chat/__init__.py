"""``penstock chat``: a conversation at the terminal, or one question in a pipe.

start     which model, which conversation; then one of
loop      a person at a terminal: prompt → question or command → answer
pipe      a program: one question, one answer, an exit status

api       what is asked of a Penstock over HTTP          said      what it says, as values (pure)
asking    one answer, followed through broken lines      hearing   what else happens in the conversation
commands  what a person types (pure)                     screen    what a person sees (pure)
terminal  the one place that writes to a terminal and reads from it
"""
