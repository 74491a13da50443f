"""The trainings behind docs/results.md: what each one is called, and the words that start it."""

from dataclasses import dataclass

SMP = "network=smp network.architecture=Unet"
PLAIN = "dataset=camvid encoder.weights=$B0_WEIGHTS optim.encoder_lr_factor=0.3 loss=cross_entropy"
RECIPE = "experiment=camvid_b0 encoder.weights=$B0_WEIGHTS"
EQUAL = "max_steps=1000 val_every=100"
SHORT = "dataset.crop=[224,224] max_steps=500 val_every=100"
CROP_288 = "dataset.crop=[288,288] batch_size=5 max_steps=500 val_every=100"
HALF = "dataset.crop=[224,224] max_steps=250 val_every=100"
STREETS = "dataset=synthetic augment=street batch_size=8"
WAYS = ("", "--flip", "--flip --scales 0.75,1,1.25,1.5")
GO_ON = "experiment=camvid_b0 encoder.weights=none init_from=runs/streets-$SEED"


@dataclass(frozen=True)
class Row:
    """One training; with each of its seeds it is a run, and a JSON."""

    name: str
    title: str  # its cell in the tables
    words: str  # behind `python train.py`, without seed and name
    test: tuple[str, ...] = ()  # options of `effunet evaluate` with which the test is measured

    def command(self, seed: int | None = None) -> str:
        """What anyone types; $SEED where none is given."""
        number = "$SEED" if seed is None else str(seed)
        line = f"python train.py {self.words} seed=$SEED name={self.name}-$SEED"
        return line.replace("$SEED", number)

    def evaluations(self) -> list[str]:
        """What anyone types then; a training on CamVid validates by itself."""
        splits = [] if "dataset=synthetic" not in self.words else ["--split val"]
        splits += [f"--split test {way}".strip() for way in self.test]
        return [f"effunet evaluate runs/{self.name}-$SEED --data camvid {s}" for s in splits]


def _equal(name: str, title: str, words: str) -> Row:
    return Row(name, title, f"{words} {EQUAL}", ("",))


def _short(name: str, title: str, words: str = "") -> Row:
    return Row(name, title, f"{RECIPE} {SHORT} {words}".strip())


TABLES: dict[str, tuple[Row, ...]] = {
    "equal": (
        _equal("smp-recipe", "smp's U-Net, `camvid_b0`", f"{RECIPE} {SMP}"),
        _equal("unet-recipe", "our U-Net, `camvid_b0`", f"{RECIPE} decoder=unet"),
        _equal("efficient-recipe", "efficient, `camvid_b0`", RECIPE),
        _equal(
            "efficient-lr-4e-3",
            "efficient, `camvid_b0`, twice the learning rate",
            f"{RECIPE} optim.lr=4e-3",
        ),
        _equal("efficient-plain", "efficient, plain recipe", PLAIN),
        _equal("smp-plain", "smp's U-Net, plain recipe", f"{PLAIN} {SMP}"),
    ),
    "ingredients": (
        _short("recipe", "`camvid_b0`"),
        _short("no-lovasz", "without Lovász", "loss=cross_entropy loss.terms=[]"),
        _short(
            "no-rare",
            "without crops aimed at rare classes",
            "sampling.classes=none sampling.temperature=0.01",
        ),
        _short("lr-1e-3", "half the learning rate", "optim.lr=1e-3"),
        _short("lr-4e-3", "twice the learning rate", "optim.lr=4e-3"),
        _short("no-ema", "without the average of the weights", "ema=null"),
        _short("encoder-lr-1", "encoder as fast as the decoder", "optim.encoder_lr_factor=1"),
        _short("dice", "Dice instead of Lovász", "loss.terms=[cross_entropy,dice:0.5]"),
        _short("ohem", "OHEM instead of cross-entropy", "loss.terms=[ohem,lovasz:0.5]"),
        _short("weighting", "with classes weighted", "loss.weighting=inverse_sqrt"),
        _short("augment-light", "`augment=light`", "augment=light"),
        _short("augment-strong", "`augment=strong`", "augment=strong"),
        _short("no-drop-path", "without drop path", "encoder.drop_path=0"),
        _short("cosine", "cosine decay", "optim.schedule=cosine"),
        _short("scale-1", "scaled by 0.75 to 1.33", "augment.scale=[0.75,1.33]"),
        _short("scale-2", "scaled by 1 to 2.5", "augment.scale=[1,2.5]"),
        Row("crop-288", "5 crops of 288 x 288", f"{RECIPE} {CROP_288}"),
        _short("copy-paste", "with copy-paste", "sampling.copy_paste=0.5"),
        _short("widths-4", "a fourth level, to reduction 2", "decoder.widths=[128,96,64,48]"),
    ),
    "drives": (
        _short("drives", "`camvid_b0`", "dataset.variant=drives"),
        _short("drives-strong", "`augment=strong`", "dataset.variant=drives augment=strong"),
        _short("drives-tenth", "a tenth", "dataset.variant=drives dataset.train_share=0.1"),
        Row("drives-streets", "synthetic, then CamVid", f"{GO_ON} {HALF} dataset.variant=drives"),
        Row(
            "drives-streets-tenth",
            "synthetic, then a tenth",
            f"{GO_ON} {HALF} dataset.variant=drives dataset.train_share=0.1",
        ),
    ),
    "long": (Row("long", "efficient, `camvid_b0`, 3600 steps", f"{RECIPE} val_every=10", WAYS),),
    "synthetic": (
        _short("recipe", "CamVid alone"),
        Row("streets", "synthetic alone", f"{RECIPE} {STREETS} {HALF}", ("",)),
        Row("streets-camvid", "synthetic, then CamVid", f"{GO_ON} {HALF}"),
        _short("tenth", "a tenth of CamVid alone", "dataset.train_share=0.1"),
        Row(
            "streets-tenth",
            "synthetic, then a tenth of CamVid",
            f"{GO_ON} {HALF} dataset.train_share=0.1",
        ),
    ),
}
"""By what a page calls a table; the first row is what the others are compared with."""

ROWS = tuple({row.name: row for rows in TABLES.values() for row in rows}.values())

SHOWN = tuple(
    row
    for row in (*TABLES["equal"], *TABLES["long"])
    if row.name in ("smp-recipe", "unet-recipe", "efficient-recipe", "long")
)
PUBLISHED = (
    ("SegNet, 360 x 480", 60.1),  # Badrinarayanan et al. 2017
    ("FC-DenseNet103, 360 x 480", 66.9),  # Jegou et al. 2017, arXiv 1611.09326
    ("BiSeNet-R18, 720 x 960", 68.7),  # Yu et al. 2018, arXiv 1808.00897
    ("BiSeNetV2, 720 x 960", 72.4),  # Yu et al. 2021, arXiv 2004.02147
    ("DDRNet-23-slim, 720 x 960", 74.7),  # Hong et al. 2021, arXiv 2101.06085
)
"""Test mIoU in per cent and the size of the images; docs/results.md says how far they compare."""
