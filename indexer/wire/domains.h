/* What signatures of section 12 of the PROTOCOL begin with. */
#ifndef INDEXER_WIRE_DOMAINS_H
#define INDEXER_WIRE_DOMAINS_H

#define WIRE_HELLO_DOMAIN "attestmesh.indexer.hello.v1"
#define WIRE_PUSH_DOMAIN "attestmesh.indexer.push.v1"
#define WIRE_RETRACTION_DOMAIN "attestmesh.indexer.retraction.v1"

#endif
