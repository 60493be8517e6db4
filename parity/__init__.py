"""Proves that trainers agree: the same batches through this project's ZeRO-3 run, a plain loop and the contract's trainer."""
