typedef int rs;
