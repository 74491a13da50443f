"""`python -m effunet.data.describe` prints docs/datasets.md."""

from effunet.data.describe.document import document

print(document(), end="")
