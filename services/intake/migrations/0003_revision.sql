-- How often an application was changed by whoever works on it, so that a change which was decided on
-- by an older look at it can be refused. What review does is not counted: outside nobody may see
-- review at work by it.
ALTER TABLE application ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- The program that began it (`api-clients.json`); only that one sees it, where the list says so.
ALTER TABLE application ADD COLUMN client text;
UPDATE application a SET client = substr(h.actor, 8)
FROM application_history h
WHERE h.application_id = a.application_id AND h.action = 'begun' AND h.actor LIKE 'client:%';
CREATE INDEX application_client ON application (client, created_at DESC) WHERE client IS NOT NULL;

-- Answers that are remembered no longer are swept away in the order of their age.
CREATE INDEX request_at ON request (at);
