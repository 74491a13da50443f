"""`python -m effunet`: the same as the command `effunet`."""

from effunet.cli import program

if __name__ == "__main__":
    program()
