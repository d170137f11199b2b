"""Where inputs come from: folders, tables, shards, lists of URLs, data sets."""
