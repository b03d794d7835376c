-- Names are found as telephone and ID numbers are: by a keyed digest of the whole name, never by a
-- part of it. Who may search by what stays as it was: notify by mobiles alone.
ALTER TABLE vault.blind_index DROP CONSTRAINT blind_index_kind_check;
ALTER TABLE vault.blind_index ADD CONSTRAINT blind_index_kind_check
    CHECK (kind IN ('mobile', 'id_number', 'name'));
