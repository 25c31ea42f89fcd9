"""Values and rules of Ouroboros: standard library only, no input or output."""
