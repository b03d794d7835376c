-- Who stands in for an officer on the days of their absence.
ALTER TABLE officer
    ADD COLUMN deputy text,
    ADD CHECK (deputy IS NULL OR away_from IS NOT NULL);
