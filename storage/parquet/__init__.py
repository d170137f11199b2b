"""Collections as parquet files: written whole, and read back to the bit; and files of others."""
