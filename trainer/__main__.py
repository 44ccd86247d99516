"""`python -m trainer` is `ecg-trainer`."""

from trainer.cli import main

main()
