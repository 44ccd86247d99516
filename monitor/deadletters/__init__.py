"""Dead letters: the format of a letter, written and read, and the ledger of the letters that were replayed."""
