"""MIU²Net (Guo, Chen et al.)."""
