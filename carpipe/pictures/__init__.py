"""Pictures as bytes and arrays: decoded, measured, made smaller, hashed; vehicles found; what models are fed."""
