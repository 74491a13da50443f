"""`python -m effunet`: the same as the command `effunet`."""

import sys

from effunet.cli import main

if __name__ == "__main__":
    sys.exit(main())
