#include "agent/transport/ktls.h"

#include <endian.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ULP "tls"
#define SECRET_SIZE 32 /* as the hash of the suite, SHA-256 */
#define IV_SIZE (TLS_CIPHER_AES_GCM_128_SALT_SIZE + TLS_CIPHER_AES_GCM_128_IV_SIZE)
#define CLIENT_LABEL "CLIENT_TRAFFIC_SECRET_0 "
#define SERVER_LABEL "SERVER_TRAFFIC_SECRET_0 "

/* The write key's origin, and how many records were made with it. */
struct writer {
    uint8_t secret[SECRET_SIZE];
    uint64_t records;
};

static CRYPTO_ONCE slot_once = CRYPTO_ONCE_STATIC_INIT;
static int slot = -1;

static void free_writer(void *parent, void *writer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    OPENSSL_clear_free(writer, sizeof(struct writer));
}

static void make_slot(void)
{
    slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_writer);
}

bool ktls_is_available(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* A kernel that has it misses the connection. */
    const bool available = setsockopt(fd, IPPROTO_TCP, TCP_ULP, ULP, sizeof(ULP)) == 0 || errno == ENOTCONN;
    close(fd);
    return available;
}

/* A line of a key log: label, the client's random, the secret. It comes when the key comes into use. */
static void on_key_line(const SSL *ssl, const char *line)
{
    const char *label = SSL_is_server(ssl) ? SERVER_LABEL : CLIENT_LABEL;
    size_t len = 0;
    if (strncmp(line, label, strlen(label)) != 0)
        return;
    struct writer *writer = OPENSSL_zalloc(sizeof(*writer));
    if (!writer)
        return;
    if (OPENSSL_hexstr2buf_ex(writer->secret, SECRET_SIZE, &len, strrchr(line, ' ') + 1, '\0') != 1 ||
        len != SECRET_SIZE || SSL_set_ex_data((SSL *)ssl, slot, writer) != 1)
        OPENSSL_clear_free(writer, sizeof(*writer));
}

static void on_message(int written, int version, int type, const void *data, size_t len, SSL *ssl, void *user)
{
    (void)version, (void)data, (void)len, (void)user;
    if (!written || type != SSL3_RT_HEADER)
        return;
    struct writer *writer = SSL_get_ex_data(ssl, slot);
    if (writer)
        writer->records++;
}

void ktls_prepare(SSL_CTX *context)
{
    if (!CRYPTO_THREAD_run_once(&slot_once, make_slot) || slot < 0)
        return;
    SSL_CTX_set_keylog_callback(context, on_key_line);
    SSL_CTX_set_msg_callback(context, on_message);
}

/* HKDF-Expand-Label of RFC 8446, section 7.1, without a context. */
static bool expand_label(EVP_KDF_CTX *kdf, uint8_t secret[SECRET_SIZE], char *label, uint8_t *out, size_t len)
{
    static char digest[] = "SHA256";
    static char prefix[] = "tls13 ";
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, SECRET_SIZE),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, strlen(prefix)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(kdf, out, len, params) == 1;
}

static bool derive_key(struct writer *writer, struct tls12_crypto_info_aes_gcm_128 *info)
{
    uint8_t iv[IV_SIZE];
    EVP_KDF *method = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
    EVP_KDF_CTX *kdf = method ? EVP_KDF_CTX_new(method) : NULL;
    const bool ok = kdf && expand_label(kdf, writer->secret, "key", info->key, sizeof(info->key)) &&
                    expand_label(kdf, writer->secret, "iv", iv, sizeof(iv));
    EVP_KDF_CTX_free(kdf);
    EVP_KDF_free(method);
    if (!ok)
        return false;
    memcpy(info->salt, iv, sizeof(info->salt));
    memcpy(info->iv, iv + sizeof(info->salt), sizeof(info->iv));
    return true;
}

static bool give_key(int fd, struct writer *writer)
{
    const uint64_t next = htobe64(writer->records);
    struct tls12_crypto_info_aes_gcm_128 info = {
        .info = {.version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128},
    };
    memcpy(info.rec_seq, &next, sizeof(info.rec_seq));
    /* With the protocol set but no key, a socket goes on as it was. */
    const bool ok = derive_key(writer, &info) &&
                    setsockopt(fd, IPPROTO_TCP, TCP_ULP, ULP, sizeof(ULP)) == 0 &&
                    setsockopt(fd, SOL_TLS, TLS_TX, &info, sizeof(info)) == 0;
    OPENSSL_cleanse(&info, sizeof(info));
    return ok;
}

bool ktls_hand_over(SSL *ssl)
{
    struct writer *writer = slot < 0 ? NULL : SSL_get_ex_data(ssl, slot);
    if (!writer)
        return false;
    BIO *nowhere = BIO_new(BIO_s_null());
    const bool given = nowhere &&
                       SSL_CIPHER_get_id(SSL_get_current_cipher(ssl)) == TLS1_3_CK_AES_128_GCM_SHA256 &&
                       give_key(SSL_get_wfd(ssl), writer);
    SSL_set_ex_data(ssl, slot, NULL);
    OPENSSL_clear_free(writer, sizeof(*writer));
    SSL_set_msg_callback(ssl, NULL);
    if (given)
        SSL_set0_wbio(ssl, nowhere);
    else
        BIO_free(nowhere);
    return given;
}
