"""How an older database becomes the newest, one numbered step after the other."""
