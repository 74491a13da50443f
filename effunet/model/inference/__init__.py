"""What an EffUNet computes in evaluation mode on a CPU, in fewer steps; form.py says how."""

from effunet.model.inference.form import InferenceForm, Latest

__all__ = ["InferenceForm", "Latest"]
