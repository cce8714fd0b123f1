"""Lin, Li et al. (2026)."""
