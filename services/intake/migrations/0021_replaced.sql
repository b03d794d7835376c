-- A paper came for an item that had been settled: where it is sent back, the customer is asked again.
ALTER TABLE checklist_item ADD COLUMN replaced boolean NOT NULL DEFAULT false;
