/* The labels of a manifest. */
#ifndef EDGESEG_LABELS_H
#define EDGESEG_LABELS_H

#include "bundle.h"
#include "json.h"

/* Reads and checks the labels into a bundle; `origin` is the manifest, for messages. */
INTERNAL edgeseg_status edgeseg_read_labels(Json labels, const char *origin, Bundle *bundle, Error *error);

#endif
