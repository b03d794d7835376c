"""The bank's systems that review asks about an applicant, one file each."""
