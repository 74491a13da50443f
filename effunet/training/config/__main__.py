"""`python -m effunet.training.config` prints docs/config.md."""

from effunet.training.config.document import document

print(document(), end="")
