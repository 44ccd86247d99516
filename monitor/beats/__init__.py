"""What a beat is, how a record becomes a beat or is refused with a reason, and files of beats."""
