-- Somebody with a passport is found by their Chinese name, too. It is looked for as a name is, by the
-- same digest: who searches does not say which of the two it is.
ALTER TABLE vault.blind_index DROP CONSTRAINT blind_index_kind_check;
ALTER TABLE vault.blind_index ADD CONSTRAINT blind_index_kind_check
    CHECK (kind IN ('mobile', 'id_number', 'name', 'chinese_name'));
