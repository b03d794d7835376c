-- Which reports were put right is asked with every case of a person, as which are disputed is (0013).
CREATE INDEX appeal_corrected ON appeal (person)
    WHERE wish = 'report-dispute' AND outcome = 'corrected';
