"""Supply: what providers propose, deliver, are paid for and owe. Nothing here knows people."""
