"""What a network looks at: class activation maps of a segmenter or classifier, and their worth.

image, class, pixels --> score --> gradient at one feature (places, record) --> map (methods)
                                                                     --> measures
"""

from effunet.explain.classifier import class_activation_map, gradient_map
from effunet.explain.explanation import Explainer, Explanation
from effunet.explain.methods import METHODS
from effunet.explain.places import places

__all__ = [
    "METHODS",
    "Explainer",
    "Explanation",
    "class_activation_map",
    "gradient_map",
    "places",
]
