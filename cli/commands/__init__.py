"""One file, one verb of ./stack."""
