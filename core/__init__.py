"""What every part of Millrace shares: settings, contracts, clients, errors, retry, logs, time and windows."""
