"""The parts of a procedural street: what stands where, and how each thing paints itself."""
