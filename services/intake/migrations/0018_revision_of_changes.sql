-- With which revision of its application each line was written: whoever decided on an older look is
-- told what was done since. Without one: written before this was kept.
ALTER TABLE application_history ADD COLUMN revision bigint;
ALTER TABLE checklist_change ADD COLUMN revision bigint;
