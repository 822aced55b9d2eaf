-- What is deleted by age is found by age.
CREATE INDEX answers_saved ON answers (saved_at);
CREATE INDEX ledger_reservations_at ON ledger_reservations (at);
