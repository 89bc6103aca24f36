"""How far a run has come in this process, and how its processes stop together."""
