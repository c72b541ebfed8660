"""What block RAM holds at power-up: the model, as files for $readmemh."""

import numpy as np

from hdl.system.storage import bank_sizes


def contents(model, words, word_bytes):
    """File name to text for each bank of a memory of `words` words that begins with the bytes of `model`."""
    sizes = bank_sizes(words)
    memory = np.zeros(sum(sizes) * word_bytes, np.uint8)
    memory[: len(model)] = np.frombuffer(model, np.uint8)
    rows = memory.reshape(-1, word_bytes)[:, ::-1]  # the word's last byte is written first
    files, first = {}, 0
    for number, size in enumerate(sizes):
        bank = rows[first : first + size]
        files[f"memory_{number}.hex"] = "".join(f"{row.tobytes().hex()}\n" for row in bank)
        first += size
    return files
