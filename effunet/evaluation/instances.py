"""A dataset -> what its iIoU needs, and the line that a report says of it."""

from effunet.data.dataset import Dataset
from effunet.metrics.instances import Things


def things_of(dataset: Dataset) -> Things | None:
    """Which instances of a split count, and how much; None where nothing tells them apart.

    Raises:
        DataError: only some of the images have a file of instances.
    """
    if not dataset.instance_sizes or not dataset.has_instances:
        return None
    return Things.of(dataset.labels, dataset.instance_sizes)


def instances_line(dataset: Dataset) -> str:
    """What a report says of the instances of a split; empty where its description names none.

    Raises:
        DataError: as for things_of.
    """
    names = ", ".join(dataset.instance_sizes)
    if not names:
        return ""
    if not dataset.has_instances:
        return (
            f"iIoU n/a: {dataset.name}, split {dataset.split}, has no files of instances; put them "
            "where `instances` in its dataset.yaml says"
        )
    return (
        f"iIoU over the classes with instances ({names}): each instance weighs as one of average "
        "size, false positives count as pixels"
    )
