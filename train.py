"""The training door: `python train.py [encoder=b0..b7|phi] [dataset=NAME] [key=value ...]`.

conf/ is composed by Hydra into one typed config, the config becomes a Run, and the Run is fitted
(effunet.training.launch). `python train.py --help` lists groups and keys; `-m` sweeps over values.
"""

import sys

from effunet.cli import program

if __name__ == "__main__":
    program(["train", *sys.argv[1:]])
