-- An application is found by the last digits of its number: they stand first in the index.
CREATE INDEX application_by_number_end ON application ((reverse(number) COLLATE "C"), branch);
