# The database, and the indexes, exemptions and expiry of firestore.indexes.json: the one list that the code's tests
# are held to.

locals {
  firestore = jsondecode(file("${path.module}/../../firestore.indexes.json"))
  rules     = file("${path.module}/../../firestore.rules")
}

resource "google_firestore_database" "evalforge" {
  count = var.create_database ? 1 : 0

  project                           = var.project
  name                              = var.database
  location_id                       = var.database_location
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"

  depends_on = [google_project_service.needed]
}

resource "google_firestore_index" "composite" {
  for_each = {
    for ix in local.firestore.indexes :
    join("/", concat([ix.collectionGroup], [for f in ix.fields : "${f.fieldPath}:${f.order}"])) => ix
  }

  project     = var.project
  database    = var.database
  collection  = replace(each.value.collectionGroup, "/^evalforge_/", var.collection_prefix)
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path = fields.value.fieldPath
      order      = fields.value.order
    }
  }

  depends_on = [google_firestore_database.evalforge]
}

# Long text is not indexed, which makes writes cheaper; what has an expiry is deleted by Firestore.
resource "google_firestore_field" "override" {
  for_each = { for f in local.firestore.fieldOverrides : "${f.collectionGroup}/${f.fieldPath}" => f }

  project    = var.project
  database   = var.database
  collection = replace(each.value.collectionGroup, "/^evalforge_/", var.collection_prefix)
  field      = each.value.fieldPath

  index_config {}

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [1] : []
    content {}
  }

  depends_on = [google_firestore_database.evalforge]
}

# Browsers and phones must not reach the collections: the services use server credentials, which the rules do not
# concern.
resource "google_firebaserules_ruleset" "closed" {
  count = var.create_database ? 1 : 0

  project = var.project

  source {
    files {
      name    = "firestore.rules"
      content = local.rules
    }
  }

  depends_on = [google_firestore_database.evalforge]
}

resource "google_firebaserules_release" "closed" {
  count = var.create_database ? 1 : 0

  project      = var.project
  name         = var.database == "(default)" ? "cloud.firestore" : "cloud.firestore/${var.database}"
  ruleset_name = google_firebaserules_ruleset.closed[0].name
}
