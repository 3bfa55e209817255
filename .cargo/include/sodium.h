/* What libzmq uses of libsodium, which comes with the crate libsodium-sys-stable: zmq-sys can't be told where that crate
 * unpacks its own header, so .cargo/config.toml puts this one in the compiler's way. libsodium keeps its ABI. */
#pragma once
#include <stddef.h>

/* That of libsodium 1.0.22: with 7.4 or later libzmq encrypts without copying a message first. */
#define SODIUM_LIBRARY_VERSION_MAJOR 26
#define SODIUM_LIBRARY_VERSION_MINOR 4

#define crypto_box_PUBLICKEYBYTES 32U
#define crypto_box_SECRETKEYBYTES 32U
#define crypto_box_BEFORENMBYTES 32U
#define crypto_box_NONCEBYTES 24U
#define crypto_box_MACBYTES 16U
#define crypto_box_ZEROBYTES 32U
#define crypto_box_BOXZEROBYTES 16U
#define crypto_secretbox_KEYBYTES 32U
#define crypto_secretbox_NONCEBYTES 24U
#define crypto_secretbox_ZEROBYTES 32U
#define crypto_secretbox_BOXZEROBYTES 16U

#ifdef __cplusplus
extern "C" {
#endif

int sodium_init(void);
void *sodium_allocarray(size_t count, size_t size);
void sodium_free(void *memory);

void randombytes(unsigned char *buffer, unsigned long long length);
int randombytes_close(void);

int crypto_scalarmult_base(unsigned char *public_key, const unsigned char *secret_key);

int crypto_box_keypair(unsigned char *public_key, unsigned char *secret_key);
int crypto_box(unsigned char *box, const unsigned char *message, unsigned long long length, const unsigned char *nonce,
               const unsigned char *public_key, const unsigned char *secret_key);
int crypto_box_open(unsigned char *message, const unsigned char *box, unsigned long long length,
                    const unsigned char *nonce, const unsigned char *public_key, const unsigned char *secret_key);
int crypto_box_beforenm(unsigned char *shared_key, const unsigned char *public_key, const unsigned char *secret_key);
int crypto_box_afternm(unsigned char *box, const unsigned char *message, unsigned long long length,
                       const unsigned char *nonce, const unsigned char *shared_key);
int crypto_box_open_afternm(unsigned char *message, const unsigned char *box, unsigned long long length,
                            const unsigned char *nonce, const unsigned char *shared_key);
int crypto_box_easy_afternm(unsigned char *box, const unsigned char *message, unsigned long long length,
                            const unsigned char *nonce, const unsigned char *shared_key);
int crypto_box_open_easy_afternm(unsigned char *message, const unsigned char *box, unsigned long long length,
                                 const unsigned char *nonce, const unsigned char *shared_key);

int crypto_secretbox(unsigned char *box, const unsigned char *message, unsigned long long length,
                     const unsigned char *nonce, const unsigned char *key);
int crypto_secretbox_open(unsigned char *message, const unsigned char *box, unsigned long long length,
                          const unsigned char *nonce, const unsigned char *key);

#ifdef __cplusplus
}
#endif
