-- By which version of the drawing a paper's pages were drawn: those of an older one are drawn again when
-- somebody looks at them. Whatever was drawn so far is of the first, whichever release drew it.
ALTER TABLE paper_preview ADD COLUMN drawing smallint NOT NULL DEFAULT 1;
