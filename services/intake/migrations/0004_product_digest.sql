-- What the version of the product said when the application began: one that is changed afterwards is
-- noticed. Empty for applications that began before; they are held to it when they are next written.
ALTER TABLE application ADD COLUMN product_digest text;
