"""A training as a value: every key, its type, meaning and limits; no torch, no Hydra."""
